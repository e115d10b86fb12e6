DO $$
BEGIN
    -- Who may not create a schema gets one made by the administrator.
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'client_credentials') THEN
        CREATE SCHEMA client_credentials;
    END IF;
END
$$;

CREATE TABLE client_credentials.schema (version integer NOT NULL);
INSERT INTO client_credentials.schema VALUES (0);

-- Tokens, revoked tokens and one-time values: a digest, the end in milliseconds since 1970, and what is known of it as JSON.
CREATE TABLE client_credentials.records (
    key bytea PRIMARY KEY,
    expires_at bigint NOT NULL,
    value text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX records_by_end ON client_credentials.records (expires_at);

-- Writes all rows and returns null, or none and returns the place of the first whose key stands. A row that has ended gives way. The
-- rows are taken in the order of their keys, so that two calls never wait for each other.
CREATE FUNCTION client_credentials.insert_records(keys bytea[], ends bigint[], vals text[], at bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    item record;
    before bytea;
    taken bigint;
BEGIN
    FOR item IN
        SELECT key, expires_at, value, place FROM unnest(keys, ends, vals) WITH ORDINALITY AS rows (key, expires_at, value, place)
        ORDER BY key, place
    LOOP
        INSERT INTO client_credentials.records AS own (key, expires_at, value)
        VALUES (item.key, item.expires_at, item.value)
        ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at, value = excluded.value WHERE own.expires_at <= at;
        IF NOT FOUND OR item.key = before THEN
            taken := least(taken, item.place);
        END IF;
        before := item.key;
    END LOOP;
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'CCTKN';
    END IF;
    RETURN NULL;
EXCEPTION WHEN SQLSTATE 'CCTKN' THEN
    RETURN taken; -- nothing of the loop is left
END
$$;

CREATE SEQUENCE client_credentials.revisions;

-- Registrations by issuer, as JSON. Identifiers compare octet for octet.
CREATE TABLE client_credentials.clients (
    issuer text COLLATE "C" NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL DEFAULT pg_catalog.nextval('client_credentials.revisions'),
    registration text NOT NULL,
    PRIMARY KEY (issuer, client_id)
);

-- Every node hears of every change, whoever makes it.
CREATE FUNCTION client_credentials.tell_of_client() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed record := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    PERFORM pg_catalog.pg_notify('client_credentials_clients', pg_catalog.json_build_array(changed.issuer, changed.client_id)::text);
    IF TG_OP = 'UPDATE' AND (OLD.issuer, OLD.client_id) IS DISTINCT FROM (NEW.issuer, NEW.client_id) THEN
        PERFORM pg_catalog.pg_notify('client_credentials_clients', pg_catalog.json_build_array(OLD.issuer, OLD.client_id)::text);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON client_credentials.clients
FOR EACH ROW EXECUTE FUNCTION client_credentials.tell_of_client();

CREATE FUNCTION client_credentials.tell_of_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY client_credentials_clients;
    RETURN NULL;
END
$$;
CREATE TRIGGER tell_all AFTER TRUNCATE ON client_credentials.clients
FOR EACH STATEMENT EXECUTE FUNCTION client_credentials.tell_of_all();
