"""The S3 sink: plan (pure rotation), names, formats, flush protocol, verify."""
