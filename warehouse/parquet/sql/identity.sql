-- Which warehouse it is: made once, when it is prepared.
SELECT i.identity
FROM warehouse_identity AS i;
