"""What the plugin shows: values in, text or plain data out."""
