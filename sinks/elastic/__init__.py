"""Elasticsearch: the audit trail."""
