"""Train the model that ranks alerts, and say how good it is. Needs scikit-learn (the extra `research`); applying a model does not."""
