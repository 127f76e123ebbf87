"""The embedded broker: pure state, one handler file per API, an asyncio shell."""
