"""KEDA's external scaler: the wire contract, and a server of it that knows nothing of forecasts."""
