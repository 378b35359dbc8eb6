"""Every asset, in the order of the data. The partition key of each event is the batch_id."""

from airflow.sdk import Asset


def applications(portfolio: str) -> Asset:
    """Return the asset of published batches: ingest updates it, score waits for it."""
    return Asset(name=f"{portfolio}_applications", uri=f"loan-scoring://{portfolio}/applications")


def scores(portfolio: str) -> Asset:
    """Return the asset of published scores: score updates it, metrics waits for it."""
    return Asset(name=f"{portfolio}_scores", uri=f"loan-scoring://{portfolio}/scores")


def retrain_request(portfolio: str) -> Asset:
    """Return the asset of retrain requests: train waits for it."""
    return Asset(
        name=f"{portfolio}_retrain_request", uri=f"loan-scoring://{portfolio}/retrain_request"
    )
