"""Review events through Kafka: topics, the producer, what a topic holds."""
