-- The tables of the peer: plain copies of ours, with the same columns, checks and indexes, and without triggers, foreign
-- keys, policies and partitions.  Those that are partitioned are as one of their months.
\set ON_ERROR_STOP on
CREATE SCHEMA peer;
SELECT format('CREATE TABLE peer.%I (LIKE omnimsg.%I INCLUDING ALL)', name, name || month)
  FROM (VALUES ('events', ''), ('messages', '_default'), ('audit_logs', '_default'), ('collection_accounts', ''),
               ('opt_out_requests', ''), ('consents', ''), ('outbox', ''), ('reply_windows', ''), ('organizations', ''),
               ('inbound_phone_numbers', ''), ('reply_templates', '')) AS t (name, month) \gexec
SELECT format('ALTER TABLE peer.%I SET (%s)', c.relname, array_to_string(c.reloptions, ', '))
  FROM pg_class c
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.reloptions IS NOT NULL AND c.relkind = 'r'
   AND to_regclass(format('peer.%I', c.relname)) IS NOT NULL \gexec
INSERT INTO peer.organizations SELECT * FROM omnimsg.organizations;
INSERT INTO peer.inbound_phone_numbers SELECT * FROM omnimsg.inbound_phone_numbers;
INSERT INTO peer.collection_accounts SELECT * FROM omnimsg.collection_accounts;
ANALYZE;
