"""The wire contract: the only home of what crosses MQTT, from bytes to the heart's words and back."""
