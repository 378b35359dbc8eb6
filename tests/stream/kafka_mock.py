"""Run the Kafka mock of librdkafka, and print its address. It keeps nothing when it ends."""

import time


def main() -> None:
    from confluent_kafka import Producer

    mock = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    broker = next(iter(mock.list_topics(timeout=30).brokers.values()))
    print(f"kafka://{broker.host}:{broker.port}", flush=True)  # noqa: T201 - read by the test
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
