"""Every asset, in the order of the data; the partition key of each event is the batch_id."""

from airflow.sdk import Asset


def applications(portfolio: str) -> Asset:
    """Return the asset of published batches: ingest makes it, scoring waits for it."""
    return Asset(name=f"{portfolio}_applications", uri=f"loan-scoring://{portfolio}/applications")


def scores(portfolio: str) -> Asset:
    """Return the asset of published scores: scoring makes it, metrics waits for it."""
    return Asset(name=f"{portfolio}_scores", uri=f"loan-scoring://{portfolio}/scores")


def retrain_request(portfolio: str) -> Asset:
    """Return the asset that asks for new models: training waits for it."""
    return Asset(
        name=f"{portfolio}_retrain_request", uri=f"loan-scoring://{portfolio}/retrain_request"
    )
