"""The API described by itself: OpenAPI and AsyncAPI documents made from the tables of the code, and the page that shows them."""
