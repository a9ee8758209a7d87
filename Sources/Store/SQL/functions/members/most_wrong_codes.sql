-- Returns how many wrong codes block a link. With one link per person and 15 minutes nobody guesses a code of 2^50.
CREATE OR REPLACE FUNCTION gateway.most_wrong_codes() RETURNS int LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT 5;
END;
