"""wav → TFRecord: reads recordings, measures pitch and loudness, writes examples."""
