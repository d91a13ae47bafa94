"""What integrators read of the wire: AsyncAPI document, JSON Schemas and page, made from the models of contract/."""
