"""Pages and addresses for analysts and operators."""
