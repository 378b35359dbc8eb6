"""Define the assets whose updates start other DAGs.

If an asset event has a partition key, the key is the batch_id.
"""

from airflow.sdk import Asset


def applications(portfolio: str) -> Asset:
    """Return the asset of published batches. An update by `ingest` starts the DAG `score`."""
    return Asset(name=f"{portfolio}_applications", uri=f"loan-scoring://{portfolio}/applications")


def scores(portfolio: str) -> Asset:
    """Return the asset of published scores. An update by `score` starts the DAG `metrics`."""
    return Asset(name=f"{portfolio}_scores", uri=f"loan-scoring://{portfolio}/scores")


def retrain_request(portfolio: str) -> Asset:
    """Return the asset of retrain requests.

    If a run without a partition key updates the asset, the DAG `train` starts. An update by a run
    with a partition key does not start `train` (see `start_training`).
    """
    return Asset(
        name=f"{portfolio}_retrain_request", uri=f"loan-scoring://{portfolio}/retrain_request"
    )
