"""What the plugin can be asked for; each module is one verb or a few alike."""
