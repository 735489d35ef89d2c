"""Which English intermediate task helps which target task, in which language, for your encoder."""
