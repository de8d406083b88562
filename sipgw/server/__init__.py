"""The asyncio shell: performs what the engine decides."""
