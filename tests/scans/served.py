"""Serve the plugin's pages by Airflow's API server, for a browser."""

import sys

if __name__ == "__main__":
    import uvicorn
    from airflow.api_fastapi.app import create_app
    from airflow.utils import db

    db.initdb()
    uvicorn.run(create_app(apps="core"), host="127.0.0.1", port=int(sys.argv[1]))
