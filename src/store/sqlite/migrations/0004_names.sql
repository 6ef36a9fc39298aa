-- By which other names tasks are asked for: the upstream's own, and the X-Request-ID that a client sent.
ALTER TABLE task ADD COLUMN upstream_task TEXT;
ALTER TABLE task ADD COLUMN request_id TEXT;
UPDATE task SET upstream_task = progress ->> '$.upstream_task' WHERE progress ->> '$.upstream_task' IS NOT NULL;
CREATE INDEX task_upstream ON task (upstream_task, upstream) WHERE upstream_task IS NOT NULL;
CREATE INDEX task_request ON task (owner, request_id, id) WHERE request_id IS NOT NULL;
