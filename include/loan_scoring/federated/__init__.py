"""Train one model at several sites that share no rows, with Flower.

`engine`, `server`, `client` and what they import run in an environment of their own, because Flower
does not resolve beside Airflow. `run`, `register` and `card` run in the project's environment. Both
sides talk by JSON files. See docs/federated.md.
"""
