"""Trains the toy on several devices: run by the distribution tests.

    python training_workers.py <gin file> <data> <save dir> worker <index> <port> <port>
    python training_workers.py <gin file> <data> <save dir> mirrored

`worker` is one of two processes on loopback; `mirrored` has two logical CPUs.
"""

import json
import sys

import tensorflow as tf

from models.training import request as run_request
from models.training import session


def main() -> None:
    gin_file, data_dir, save_dir, mode, *rest = sys.argv[1:]
    cluster_config = ""
    if mode == "worker":
        index, *ports = rest
        workers = [f"127.0.0.1:{port}" for port in ports]
        task = {"type": "worker", "index": int(index)}
        cluster_config = json.dumps({"cluster": {"worker": workers}, "task": task})
    else:
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        devices = ["/cpu:0", "/cpu:1"]
        session.make_strategy = lambda request: tf.distribute.MirroredStrategy(devices)
    session.train(
        run_request.TrainingRequest(
            save_dir=save_dir,
            gin_files=(gin_file,),
            data_dir=data_dir,
            cluster_config=cluster_config,
            quiet=True,
        )
    )


if __name__ == "__main__":
    main()
