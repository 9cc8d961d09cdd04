-- Lookups join through LATERAL … OFFSET 0: one index probe for each key, whatever the planner believes about the size
-- of a table that was empty when the statement was prepared.

-- name: known_documents
-- Which of these (sender, id) are accepted already, and with which bytes (contract §4 step 5).
SELECT k.sender_id, k.id, d.document_id, d.digest, d.accepted_at, d.leaf, d.log_by, d.recipients,
       d.unresolved::text AS unresolved, d.warnings::text AS warnings
FROM unnest($1::bigint[], $2::uuid[]) AS k (sender_id, id)
CROSS JOIN LATERAL (SELECT * FROM document WHERE sender_id = k.sender_id AND id = k.id OFFSET 0) AS d;

-- name: known_natural_keys
-- The earliest accepted document of each of these natural keys (contract §5, LT-DUP-NATURAL).
SELECT d.natural_key, d.id
FROM unnest($1::bytea[]) AS k (natural_key)
CROSS JOIN LATERAL (
    SELECT natural_key, id FROM document
    WHERE action = 'new' AND natural_key = k.natural_key ORDER BY accepted_at, document_id LIMIT 1
) AS d;

-- name: recipients_of
-- The first recipients of documents that are answered again, at most 500 each.
SELECT v.document_id, r.code, o.code AS owner, v.addressed_as
FROM unnest($1::bigint[]) AS k (document_id)
CROSS JOIN LATERAL (
    SELECT * FROM delivery WHERE document_id = k.document_id ORDER BY recipient_id LIMIT 500
) AS v
JOIN agency r ON r.agency_id = v.recipient_id
JOIN agency o ON o.agency_id = v.owner_id;

-- name: known_content
-- Content that is kept, and whether a sender or its hub has stored it or could already read it (contract §6). What is
-- held, cancelled or recalled before it went out was not received.
SELECT k.ordinality::int AS position, c.size, c.inline,
       EXISTS (
           SELECT FROM content_upload u WHERE u.digest = k.digest AND u.agency_id IN (k.sender_id, k.submitter_id)
       ) OR EXISTS (
           SELECT FROM document_part p JOIN document d ON d.document_id = p.document_id
           WHERE p.digest = k.digest
             AND (d.sender_id IN (k.sender_id, k.submitter_id) OR EXISTS (
                 SELECT FROM delivery v
                 WHERE v.document_id = d.document_id
                   AND (v.recipient_id IN (k.sender_id, k.submitter_id) OR v.owner_id IN (k.sender_id, k.submitter_id))
                   AND (v.dispatched_at IS NOT NULL OR NOT (v.recalled OR v.processing IN ('held', 'cancelled')))
             ))
       ) AS readable
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS k (digest, sender_id, submitter_id, ordinality)
CROSS JOIN LATERAL (SELECT size, inline FROM content WHERE digest = k.digest OFFSET 0) AS c;

-- name: earlier_by_id
-- Documents that changes concern by reference.
SELECT d.document_id, d.sender_id, a.code AS sender_code, d.id, d.digest, d.action, d.natural_key
FROM unnest($1::uuid[]) AS k (id)
CROSS JOIN LATERAL (SELECT * FROM document WHERE id = k.id OFFSET 0) AS d
JOIN agency a ON a.agency_id = d.sender_id;

-- name: earlier_by_natural_key
-- Documents that changes concern by number and notation.
SELECT d.document_id, d.sender_id, a.code AS sender_code, d.id, d.digest, d.action, d.natural_key
FROM unnest($1::bytea[]) AS k (natural_key)
CROSS JOIN LATERAL (
    SELECT * FROM document WHERE action = 'new' AND natural_key = k.natural_key ORDER BY document_id OFFSET 0
) AS d
JOIN agency a ON a.agency_id = d.sender_id;

-- name: deliveries_of
-- Recipients of documents that are to be changed, and whether each can still be changed.
SELECT v.document_id, v.recipient_id, v.processing NOT IN ('refused', 'cancelled') AND NOT v.recalled AS can_change
FROM delivery v WHERE v.document_id = ANY ($1::bigint[])
ORDER BY v.document_id, v.recipient_id;

-- name: insert_documents
-- Accept documents; what comes back was new, the others are another worker's (contract §5).
INSERT INTO document (sender_id, id, digest, jws, action, priority, test, number, notation, issued_on, type, subject,
                      natural_key, thumbprint, submitter_id, via, sent_at, accepted_at, leaf, log_by, recipients,
                      unresolved, warnings)
SELECT k.sender_id, k.id, k.digest, k.jws, k.action, k.priority, k.test, k.number, k.notation, k.issued_on, k.type,
       k.subject, k.natural_key, k.thumbprint, k.submitter_id, k.via::jsonb, k.sent_at, $18, k.leaf, $19, k.recipients,
       k.unresolved::jsonb, k.warnings::jsonb
FROM unnest($1::bigint[], $2::uuid[], $3::bytea[], $4::bytea[], $5::text[], $6::smallint[], $7::boolean[], $8::text[],
            $9::text[], $10::date[], $11::text[], $12::text[], $13::bytea[], $14::bytea[], $15::bigint[], $16::text[],
            $17::timestamptz[], $20::bytea[], $21::integer[], $22::text[], $23::text[])
     AS k (sender_id, id, digest, jws, action, priority, test, number, notation, issued_on, type, subject, natural_key,
           thumbprint, submitter_id, via, sent_at, leaf, recipients, unresolved, warnings)
ON CONFLICT (sender_id, id) DO NOTHING
RETURNING document_id, sender_id, id;

-- name: insert_content
-- Keep parts; those that are kept already stay as they are.
INSERT INTO content (digest, size, inline, place, stored_at)
SELECT k.digest, k.size, k.inline, k.place, $5
FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::text[]) AS k (digest, size, inline, place)
ON CONFLICT (digest) DO NOTHING;

-- name: insert_parts
-- Which document names which content; the reference keeps the content from being collected.
INSERT INTO document_part (document_id, ordinal, digest, name)
SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::text[]);

-- name: insert_deliveries
-- One row for each recipient; an update may add one who already has the document.
INSERT INTO delivery (document_id, recipient_id, owner_id, addressed_as, due_arrival)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[])
ON CONFLICT (document_id, recipient_id) DO NOTHING
RETURNING document_id, recipient_id;

-- name: insert_rejections
-- Messages that were not taken, and why.
INSERT INTO rejection (at, amqp_user, kind, claimed_from, id, digest, message_id, code, detail, verdict, body, quarantined,
                       number, notation)
SELECT k.at, k.amqp_user, k.kind, k.claimed_from, k.id, k.digest, k.message_id, k.code, k.detail::jsonb,
       k.verdict::jsonb, k.body, k.quarantined, k.number, k.notation
FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::bytea[], $12::boolean[], $13::text[], $14::text[])
     AS k (at, amqp_user, kind, claimed_from, id, digest, message_id, code, detail, verdict, body, quarantined,
           number, notation);

-- name: insert_concerns
-- Which documents a change concerns.
INSERT INTO document_concerns (document_id, concerned_id) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING;

-- name: lock_deliveries
-- The deliveries that a change touches, locked in one order, with what has happened to them by now.
SELECT v.document_id, v.recipient_id, v.dispatched_at IS NOT NULL AS dispatched,
       v.processing NOT IN ('refused', 'cancelled') AND NOT v.recalled AND v.moved_at IS NULL AS can_change
FROM delivery v WHERE v.document_id = ANY ($1::bigint[])
ORDER BY v.document_id, v.recipient_id
FOR UPDATE;

-- name: insert_change_requests
-- Ask each delivery for the change; one that never went out has agreed at once (contract §3.3).
INSERT INTO change_request (document_id, recipient_id, asked_by, kind, asking_document_id, state, asked_at, answered_at)
SELECT k.document_id, k.recipient_id, $3, $4, $5, CASE WHEN k.agreed THEN 'agreed' ELSE 'asked' END, $6::timestamptz,
       CASE WHEN k.agreed THEN $6::timestamptz END
FROM unnest($1::bigint[], $2::bigint[], $7::boolean[]) AS k (document_id, recipient_id, agreed)
ON CONFLICT DO NOTHING;

-- name: recall_undispatched
-- Deliveries that are recalled without ever going out.
UPDATE delivery v SET recalled = true, closed_at = $3
FROM unnest($1::bigint[], $2::bigint[]) AS k (document_id, recipient_id)
WHERE v.document_id = k.document_id AND v.recipient_id = k.recipient_id AND v.dispatched_at IS NULL;

-- name: cancel_deliveries
-- Copies of a recall that nobody needs, because what they recall never went out.
UPDATE delivery v SET processing = 'cancelled', closed_at = $3
WHERE v.document_id = $1 AND v.recipient_id = ANY ($2::bigint[]) AND v.dispatched_at IS NULL;

-- name: count_recipients
-- Documents that got further recipients.
UPDATE document d SET recipients = (SELECT count(*) FROM delivery v WHERE v.document_id = d.document_id)
WHERE d.document_id = ANY ($1::bigint[]);

-- name: remember_pending
-- A change waits for its document.
INSERT INTO pending_change (asked_by, position, sender_id, action, concerned_id, natural_key, since, until)
SELECT $1, k.position, $2, $3, k.concerned_id, k.natural_key, $6, $7
FROM unnest($4::uuid[], $5::bytea[]) WITH ORDINALITY AS k (concerned_id, natural_key, position)
ON CONFLICT (asked_by, position) DO NOTHING;

-- name: pending_recalls
-- Recalls by these senders of documents that had not come.
SELECT sender_id, concerned_id, natural_key, until FROM pending_change
WHERE sender_id = ANY ($1::bigint[]) AND until > $2 AND action = 'recall';

-- name: forget_pending
-- These changes are decided: what they had kept back may go now, if nobody has recalled it.
WITH decided AS (
    DELETE FROM pending_change WHERE asked_by = ANY ($1::bytea[]) RETURNING sender_id, concerned_id, natural_key
)
UPDATE outgoing o SET created_at = $2
FROM decided p JOIN document d ON d.sender_id = p.sender_id AND (d.id = p.concerned_id OR d.natural_key = p.natural_key)
WHERE o.document_id = d.document_id AND o.published_at IS NULL AND o.created_at > $2;
