"""The exchange's own API over the gateway: one WebSocket, /ws/v1, and the same words over HTTP at /v1."""
