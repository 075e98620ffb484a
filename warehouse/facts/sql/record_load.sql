-- The load, in the transaction of its rows.
INSERT INTO warehouse_load (source, load_number, generation, epoch, sequence, row_count, news_time, load_time)
VALUES ({source}, {load_number}, {generation}, {epoch}, {sequence}, {row_count}, {news_time}, {load_time});
