"""Every property as data: name, type, range, default, rules; and .properties files. Pure."""
