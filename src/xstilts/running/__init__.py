"""Around the stages: DVC, MLflow, the experiment at hand.

What enters: names of stages, cards. What leaves: started commands, logged runs. No number is made
here.
"""
