"""Exports of a warehouse as Parquet files, which a manifest names once they are whole."""
