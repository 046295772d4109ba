"""The log: which topics there are, who owns which partition, and the producer library for third parties."""

from topics.producer import DeliveryFailed, OrderProducer

__all__ = ["DeliveryFailed", "OrderProducer"]
