"""Every bound in one place: value, unit, reason, and what peers use.

A bound is a module constant in capitals with its unit in the name; the comment gives the reason and the peers'
values. A settings key may lower or raise some of them; the others stand.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# --- DICOM upper layer (PS3.8) ---------------------------------------------------------------------------------
# Largest P-DATA-TF PDU we announce and accept. DCMTK: 131,072 at most, default 16,384; Orthanc: 16,384;
# dcm4che: 16,378. Larger PDUs mean fewer wake-ups of the event loop.
MAX_PDU_LENGTH_BYTES = 256 * KIB
# Largest A-ASSOCIATE-RQ/AC we read. 128 presentation contexts with 40 transfer syntaxes each need about 350 KB.
MAX_ASSOCIATE_PDU_LENGTH_BYTES = 1 * MIB
# Presentation context ids are odd numbers of one byte (PS3.8 §9.3.2.2).
MAX_PRESENTATION_CONTEXTS = 128
MAX_TRANSFER_SYNTAXES_PER_CONTEXT = 128
# User information sub-items other than the fixed ones: role selection and extended negotiation come once per SOP class.
MAX_USER_INFORMATION_ITEMS = 1024
# Items of one variable field (items of a PDU, sub-items of an item), unknown ones included; see the two above.
MAX_ITEMS_PER_FIELD = MAX_USER_INFORMATION_ITEMS
# PDVs in one P-DATA-TF PDU. DCMTK, Orthanc and dcm4che send one; two carry a command with its data set.
MAX_PDVS_PER_PDU = 1024
# Smallest bound a peer may put on the PDUs it receives; below it headers outweigh the data. DCMTK refuses below 4,096.
MIN_PEER_PDU_LENGTH_BYTES = 128
# What a peer that sends no maximum length item is taken to receive: DCMTK's default.
DEFAULT_PEER_PDU_LENGTH_BYTES = 16 * KIB
# ARTIM (PS3.8 §9.1.5): how long a peer may take for A-ASSOCIATE-RQ or for closing. DCMTK 30 s, pynetdicom 30 s.
ARTIM_TIMEOUT_S = 30.0
# As acceptor that stops: how long a peer with nothing under way may take to confirm the release. Modalities that keep
# an idle association, and do not know a release from the acceptor, must not hold up a restart.
DEPARTURE_TIMEOUT_S = 3.0
# No bytes at all on an established association. DCMTK: none; Orthanc 30 s; pynetdicom 60 s. Old modalities think long.
IDLE_TIMEOUT_S = 600.0
# A message once begun must go on: stops slow senders from holding staging space. Orthanc: none; dcm4che: none.
MESSAGE_PROGRESS_TIMEOUT_S = 60.0
# What counts as going on: this much within the timeout. The slowest lines of modalities carry a hundred times it.
MESSAGE_PROGRESS_BYTES = 4 * KIB
# What one read from a socket may bring. One such buffer an event loop; a read larger than a PDU saves copies.
RECEIVE_BUFFER_BYTES = 512 * KIB
# A read shorter than this that completes no message may come from a sender that waits for TCP's acknowledgement
# (DCMTK by default); one that sends without waiting fills more.
PROMPT_ACKNOWLEDGEMENT_BYTES = 64 * KIB
# Requests a peer may have open on one association when it asks for more than one (PS3.7 §D.3.3.3). pynetdicom,
# DCMTK and Orthanc: 1; dcm4che: as configured, 0 (no bound) by default.
MAX_OPERATIONS_PERFORMED = 16
# A socket write the peer does not read for this long ends the connection.
WRITE_TIMEOUT_S = 60.0
# Associations served at a time by one worker; further ones get the transient rejection (PS3.8 §9.3.4).
MAX_ASSOCIATIONS = 1000
# Connections beyond that which are still heard, to be told so; the ones above are closed at once.
SPARE_CONNECTIONS = 256
# Connections the system may hold before they are accepted.
LISTEN_BACKLOG = 512
# How long a TLS handshake may take; until it is done a connection counts for nothing. asyncio 60 s.
TLS_HANDSHAKE_TIMEOUT_S = 10.0
# As requestor: how long the connection, and then the answer to A-ASSOCIATE-RQ, may take. DCMTK: 30 s.
CONNECT_TIMEOUT_S = 10.0
ASSOCIATE_TIMEOUT_S = 30.0
# As requestor: how long a response may take. DCMTK and dcm4che: unlimited; pynetdicom 30 s; Orthanc 10 s.
RESPONSE_TIMEOUT_S = 120.0
# How long a remote may send nothing while a person waits for the matches of a query.
PROMPT_QUERY_SILENCE_S = 30.0
# Matches of a remote's answer given to one request of the console; further ones cancel the query.
MAX_REMOTE_MATCHES = 1000
# As retrieve SCU: how long a remote may send nothing while it looks for and sends what was asked for: some fetch it
# from tape first. DCMTK and dcm4che: unlimited; Orthanc 10 s.
RETRIEVE_SILENCE_S = 1800.0
# Series of a study whose first instance is looked at before the study is retrieved by C-GET; each takes a query. With
# more, the commonest SOP classes are proposed instead.
MAX_SURVEYED_SERIES = 30
# How long a remote may take for its final response after C-CANCEL, in which it may finish one instance.
CANCEL_TIMEOUT_S = 30.0
# As move SCP: how long a destination may take to answer what was under way when C-CANCEL came. Requestors wait for the
# final response, often no longer than 30 s, and the destination may be dead.
CANCELLED_MOVE_GRACE_S = 10.0
# Responses of one request that wait to be taken, before the peer is slowed down.
MAX_BUFFERED_RESPONSES = 256
MAX_BUFFERED_RESPONSE_BYTES = 1 * MIB
# As storage SCU: bytes of a file read, and held, at a time; most instances are one such chunk.
SEND_CHUNK_BYTES = 2 * MIB
# How often an instance is sent that got no answer, and how long to wait before the next association.
SEND_ATTEMPTS = 3
SEND_RETRY_DELAY_S = 1.0
# As storage SCU: instances under way at a time on one association, if the peer grants a window (PS3.7 §D.3.3.3). Each
# holds a chunk. DCMTK and Orthanc grant none; dcm4che grants what is asked.
SEND_WINDOW = 8
# Who sends to a remote holds its turn on lease, renewed in time; who waits looks this often; and who has sent so long
# while others wait lets them in. Orthanc and dcm4chee bound associations for each process, or not at all.
TURN_LEASE_S = 20.0
TURN_RENEWAL_S = 4.0
TURN_POLL_S = 0.5
TURN_LENGTH_S = 15.0
# Command sets are small; DCMTK reads any length. PS3.7 gives no bound.
MAX_COMMAND_SET_BYTES = 64 * KIB
# Identifiers and attribute lists of requests other than C-STORE: a commitment of 10,000 instances comes to 2 MB.
MAX_IDENTIFIER_BYTES = 16 * MIB

# --- Data sets (PS3.5) -----------------------------------------------------------------------------------------
MAX_UID_LENGTH = 64  # PS3.5 §9.1
# Elements before Pixel Data; enhanced multi-frame objects of 10,000 frames come to about 100 MB. pydicom: none.
MAX_HEADER_BYTES = 256 * MIB
# Depth of nested sequences. pydicom breaks near 250, DCMTK 3.6.7 near the thread's stack; real objects stay below 20.
MAX_SEQUENCE_DEPTH = 64
# Elements of one data set, all levels together.
MAX_ELEMENTS = 4_000_000
# Oddities noted of one data set; what is damaged all over need not be described all over.
MAX_DAMAGE_ENTRIES = 200
# File meta information is read from this many first bytes of a file. Real ones end below 1 KiB; private information
# (0002,0102) may be longer. DCMTK and pydicom: none.
FILE_META_PREFIX_BYTES = 64 * KIB
# Fragments of encapsulated pixel data; each costs 4 bytes of the stored frame index. Whole slide levels reach 10^6.
MAX_FRAGMENTS = 4_000_000
# A deflated data set may inflate to this. fo-dicom was felled by a ratio of 2,000.
MAX_INFLATED_BYTES = 1 * GIB
# Binary values up to this stand in the metadata as InlineBinary; longer ones become BulkDataURI (PS3.18 §F.2.6).
INLINE_BINARY_BYTES = 1 * KIB
# The same for long text (LT, ST, UC, UR, UT).
INLINE_TEXT_BYTES = 64 * KIB
# One instance. PS3.5 lengths of 32 bits end at 4 GiB per element; encapsulated pixel data may be longer.
MAX_INSTANCE_BYTES = 64 * GIB
# Instances up to this stay in memory until they are written in one go; longer ones stream to the staging file.
STAGING_MEMORY_BYTES = 4 * MIB

# --- Storage ---------------------------------------------------------------------------------------------------
# A key of ours takes about 90 characters; S3 allows 1,024 bytes, file names 255.
MAX_BLOB_KEY_LENGTH = 120
# Read from a blob at a time: large enough to keep a disk or a bucket busy, small enough for many readers.
BLOB_CHUNK_BYTES = 1 * MIB
# Of a blob that is sent as an open file: handed to the system at a time, so that other requests have their turn.
FILE_PIECE_BYTES = 2 * MIB
# Blobs of one answer that are opened at a time, while as many others are sent.
BLOBS_OPENED_AHEAD = 8
# Blobs one process has open at a time to send them; more are read instead. Of the 1,024 descriptors a process may have
# by default, most are for connections.
MAX_OPEN_BLOBS = 256
# Part of a multipart upload. S3 wants 5 MiB at least and 10,000 parts at most: enough for MAX_INSTANCE_BYTES.
UPLOAD_PART_BYTES = 8 * MIB
# Received bytes of a spilled instance that go to its staging file in one thread hop.
SPILL_CHUNK_BYTES = 1 * MIB
# A data set up to this is parsed on the event loop (about 1 ms at worst); larger headers go to a thread.
LOOP_PARSE_BYTES = 64 * KIB
# Drafts written to the index in one transaction. Past some dozens the cost per row no longer falls.
MAX_COMMIT_BATCH = 256
# A store whose commit was interrupted is looked at again after this: by then the database has ended the transaction
# of a lost connection (it looks for lost clients every 2 s), so a key it does not know will stay unknown.
UNSETTLED_BLOB_GRACE_S = 10.0
# A blob without rows is nobody's after this at the earliest: by then its claim, if there was one, has been settled.
MIN_ORPHAN_AGE_S = 3600.0
# Blobs listed and asked after at a time, and those whose names one scrub remembers, about 100 bytes each.
BLOBS_LISTED_AT_A_TIME = 1000
MAX_BLOBS_REMEMBERED = 100_000
# How often a worker looks for interrupted stores, its own and those of dead workers.
STAGING_SWEEP_INTERVAL_S = 60.0
# Instances of one retrieval read ahead of the reader, in bytes.
RETRIEVE_READ_AHEAD_BYTES = 4 * MIB
# Instances one C-MOVE or C-GET may name: their counts in the responses have 16 bits (PS3.7 Table E.1-1). Orthanc
# counts on from zero, DCMTK and dcm4che likewise.
MAX_RETRIEVED_INSTANCES = 65_535
# Numbers that choose frames in one identifier: a list in explicit VR holds 16,383, whole slides have 100,000 tiles.
MAX_FRAME_LIST_VALUES = 131_072
# Instances of a C-GET that are read, or converted, while another is under way. Each holds RETRIEVE_READ_AHEAD_BYTES at
# most, or what it is converted to.
INSTANCES_READ_AHEAD = 2
# Pending responses come after each sub-operation up to this many, beyond not more often than at the interval. dcm4che
# and DCMTK send one for each sub-operation.
PENDING_EACH_SUBOPERATIONS = 100
PENDING_INTERVAL_S = 0.5
# A pending response comes at least this often while a C-MOVE goes on: Orthanc gives an answer up after 10 s.
PENDING_LATEST_S = 4.0
# Instances whose metadata are made in one thread hop: their JSON comes to about a mebibyte.
METADATA_BATCH_INSTANCES = 200
# Series one worker remembers as changed; further ones get their metadata when asked for.
MAX_UNSETTLED_SERIES = 100_000

# --- Jobs ------------------------------------------------------------------------------------------------------
# How long a job belongs to a worker that says nothing: what a killed worker had begun goes on elsewhere after this.
# pgqueuer 30 s, procrastinate 30 s.
JOB_LEASE_S = 20.0
JOB_HEARTBEAT_INTERVAL_S = 5.0
# How often an idle worker looks for jobs whose time has come, and each one for those of lost workers. Notices wake it
# at once for a new job.
JOB_POLL_INTERVAL_S = 1.0
JOB_SWEEP_INTERVAL_S = 5.0
# How often a worker looks for what ended long ago, which is kept for days; rows it removes in one statement.
RETENTION_INTERVAL_S = 3600.0
RETENTION_ROWS_AT_A_TIME = 1000
# Jobs one worker runs at a time. They wait for peers most of the time, and some peers let them wait for minutes.
MAX_JOBS_PER_WORKER = 32
# Connections one worker's queue takes, besides those of the index: one of them may be handing on the outbox.
JOB_CONNECTIONS = 3
# A job whose workers were lost this often has probably brought them down.
MAX_JOB_LOSSES = 5
# A lane whose peer does not answer is tried again after this at the latest.
MAX_LANE_REST_S = 60.0
# How long jobs are remembered that went well, and that did not; how many are forgotten in one statement.
JOB_HISTORY_S = 24 * 3600.0
FAILED_JOB_HISTORY_S = 30 * 24 * 3600.0
MAX_JOBS_FORGOTTEN = 1_000
# Instances a forwarding job has under way at a time: as many may be sent twice when a worker is killed.
FORWARD_BATCH = 50
# How often an instance is sent to a destination that answers others, but not this one or that it is out of resources.
MAX_FORWARD_ATTEMPTS = 8
# Destinations and patterns of one rule, and rules of one tenant: each is looked at for each instance.
MAX_RULE_VALUES = 100
MAX_FORWARD_RULES = 500
# How long a study may have to be quiet before it counts as stable.
MAX_STABLE_S = 7 * 24 * 3600.0
# Priors one rule pulls from a source for a scheduled step, and studies of a patient that are looked through for them.
MAX_PREFETCHED_STUDIES = 50
MAX_PRIORS_LOOKED_AT = 500
# How often metrics are told how destinations stand.
DESTINATIONS_SHOWN_INTERVAL_S = 15.0
# Rows of the outbox handed on at a time, and how often it is looked at.
OUTBOX_BATCH = 500
OUTBOX_INTERVAL_S = 0.5

# --- HTTP ------------------------------------------------------------------------------------------------------
MAX_REQUEST_BODY_BYTES = 256 * GIB
MAX_PART_HEADER_BYTES = 16 * KIB
MAX_PART_HEADERS = 32
MAX_PARTS = 100_000
# Instances of one STOW-RS request that are made durable at the same time, so that their rows go in one statement.
MAX_STORES_IN_FLIGHT = 16
# An Accept value. OHIF's longest, for whole slide tiles, has 700 characters.
MAX_ACCEPT_LENGTH = 8 * KIB
# A multipart boundary; RFC 2046 allows 70 characters, some clients send more.
MAX_BOUNDARY_LENGTH = 200
# What may stand before the first part. RFC 2046 allows a preamble of any length; real clients send none.
MAX_PREAMBLE_BYTES = 64 * KIB
# Query results per request. Azure 200; AWS 10,000; Orthanc none.
DEFAULT_QUERY_RESULTS = 100
MAX_QUERY_RESULTS = 5_000
MAX_QUERY_OFFSET = 1_000_000
# Results of one C-FIND, unless a setting says otherwise. Orthanc, dcm4che and DCMTK: none.
MAX_FIND_RESULTS = 100_000
# Identifier of a C-FIND; a list of 2,000 UIDs takes 128 KiB.
MAX_QUERY_IDENTIFIER_BYTES = 256 * KIB
# Keys of one C-FIND, and of a query a person sends to a remote; each is a condition of the statement. Real ones have
# five.
MAX_QUERY_KEYS = 100
# Results read, encoded and sent together by a C-FIND: a few milliseconds' work and some hundred kilobytes.
FIND_BATCH_RESULTS = 200
# Searches of one worker that stream their results; each keeps a connection for reading until its reader has taken all.
MAX_STREAMED_SEARCHES = 4
# Characters of one matching value. A UID list of 1,000 fills 64,000; the longest searchable text (LT) has 10,240.
MAX_QUERY_TEXT_CHARACTERS = 128 * KIB
# Values of one UID list or value list. Azure 1; dcm4che none; PostgreSQL plans lists of this length well.
MAX_QUERY_VALUES = 2_000
# Items of one worklist answer: what a hospital schedules in weeks, and more than any modality shows.
MAX_WORKLIST_RESULTS = 5_000
# Values of one field of a worklist item: stations among which a step may be performed, allergies, alerts.
MAX_WORKLIST_FIELD_VALUES = 32
# Frames one request may name. OHIF asks for one at a time.
MAX_FRAMES_PER_REQUEST = 10_000

# --- Pixels ----------------------------------------------------------------------------------------------------
# Samples of one decoded frame (rows x columns x samples per pixel): 65,535 squared would take 4 GB a byte plane.
MAX_FRAME_SAMPLES = 256 * 1024 * 1024
# Longest side of a rendered picture.
MAX_RENDERED_SIDE = 16_384
# Pixels of a scaled rendered picture: enlarging a thumbnail-sized frame must not take gigabytes.
MAX_RENDERED_PIXELS = 32 * 1024 * 1024
# Frames of one animated rendering (GIF); the picture of a longer cine takes evenly spaced ones.
MAX_ANIMATED_FRAMES = 200
# Frames decoded or rendered at a time by one worker; more wait their turn.
MAX_RENDERINGS_IN_FLIGHT = 16
# Memory all of them together may take, as estimated before a frame is read; one that takes more is worked on alone.
# Sixteen mammograms of 100 MB each at the same time would take 7 GB with all that decoding and scaling adds.
MAX_RENDERING_BYTES = 1 * GIB
# A palette or look-up table that stands outside of the metadata: 65,536 entries of 16 bits.
MAX_LOOK_UP_DATA_BYTES = 256 * KIB
# Instances that are decoded as a whole for a client, before and after. Azure: 100 MB.
MAX_TRANSCODED_BYTES = 512 * MIB
# Instances transcoded at a time by one worker, and the memory they may take together, as estimated before the work
# begins; one that takes more is worked on alone. Orthanc: as many as there are HTTP threads, without bound.
MAX_TRANSCODINGS_IN_FLIGHT = 16
MAX_TRANSCODING_BYTES = 1 * GIB
# Encoded frames of one instance that wait in memory until the offset table can be written; more wait in a file.
TRANSCODING_SPOOL_BYTES = 32 * MIB

# --- Accounts --------------------------------------------------------------------------------------------------
# NIST SP 800-63B asks for at least 8 characters and no rules of composition; the maximum bounds hashing.
MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 256
MAX_USER_NAME_LENGTH = 200
# Passwords one worker checks or lets wait for it: at 2 to 10 a second and core, more would wait longer than people do.
MAX_PASSWORD_CHECKS = 32
# A body for the console API; the largest is a name and a password.
MAX_JSON_BODY_BYTES = 64 * KIB
# Wrong passwords for one name from one address (five times as many for all names from it) within the window
# before signing in is refused.
MAX_SIGN_IN_FAILURES = 10
SIGN_IN_FAILURE_WINDOW_S = 900.0
# A JSON web token in a user identity, whose field has room for 64 KiB; real ones have 1 to 4.
MAX_WEB_TOKEN_BYTES = 16 * KIB
# By how much the clocks of an issuer of web tokens and ours may differ. RFC 7519: no more than a few minutes.
WEB_TOKEN_LEEWAY_S = 60
# How long a request's head, and each following piece of its body, may take.
HTTP_HEAD_TIMEOUT_S = 20.0
HTTP_BODY_PROGRESS_TIMEOUT_S = 60.0
# How long a client may take nothing of an answer; each holds up to two mebibytes. nginx and Apache 60 s.
HTTP_WRITE_TIMEOUT_S = 60.0
# Request line and header fields together. nginx 32 KiB; Node 16 KiB; lists of UIDs in queries are long.
MAX_HTTP_HEAD_BYTES = 64 * KIB
# Requests a connection may send ahead of their answers. No browser does so; Apache answers without bound, nginx one.
MAX_PIPELINED_REQUESTS = 100

# --- Import ----------------------------------------------------------------------------------------------------
MAX_DICOMDIR_BYTES = 256 * MIB
MAX_ZIP_MEMBERS = 1_000_000
# A member may unpack to this many times its compressed size; empty CT slices reach about 500. Bombs reach 1,000.
MAX_ZIP_RATIO = 800

# --- Database --------------------------------------------------------------------------------------------------
# Connections the embedded server takes: 16 workers of 14, and some for people. PostgreSQL's default is 100.
DATABASE_MAX_CONNECTIONS = 250
# Connections of one worker process: for writing (batches are committed in groups, so few suffice) and for reading.
DATABASE_WRITE_CONNECTIONS = 4
DATABASE_READ_CONNECTIONS = 6
# How long a caller waits for a free connection, and for a new one, before the database counts as away.
DATABASE_ACQUIRE_TIMEOUT_S = 15.0
DATABASE_CONNECT_TIMEOUT_S = 10.0
# How long a statement that was cancelled may go on before its connection is dropped.
DATABASE_CANCEL_TIMEOUT_S = 2.0
# One search statement. Orthanc none; dcm4che none. A hostile query costs this much of one core at most.
SEARCH_TIMEOUT_S = 20.0
# One write statement; waiting for another worker's row included.
DATABASE_WRITE_TIMEOUT_S = 30.0
# Start of the embedded server, recovery after a crash included (at most `max_wal_size` is replayed).
DATABASE_START_TIMEOUT_S = 120.0
DATABASE_STOP_TIMEOUT_S = 60.0
# The embedded server's log; a longer one is put aside at the next start, in place of the one put aside before.
DATABASE_LOG_BYTES = 16 * MIB
# Series whose keys a worker remembers so that it need not look them up: about 500 bytes each.
KNOWN_SERIES = 20_000
# The connection that hears of changes other workers make: how often it is looked at, how long its answer may take,
# and the pause before a lost one is made anew. Until then nothing is remembered that a change could make untrue.
NOTICE_CHECK_INTERVAL_S = 15.0
NOTICE_CHECK_TIMEOUT_S = 5.0
NOTICE_RETRY_DELAY_S = 1.0

# --- Remote application entities -------------------------------------------------------------------------------
# Associations one destination may be sent over at a time. dcm4che and Orthanc: one, or as configured.
MAX_REMOTE_ASSOCIATIONS = 32
# Transfer syntaxes named as a remote's preference: PS3.6 knows about 60.
MAX_PREFERRED_TRANSFER_SYNTAXES = 64
# Characters of a host name (RFC 1035), of a site's name and of a description.
MAX_HOST_NAME_LENGTH = 253
MAX_SITE_LENGTH = 64
MAX_REMOTE_DESCRIPTION_LENGTH = 500
# How long the addresses of a remote's host name are remembered, and how long finding them may take.
HOST_ADDRESSES_S = 30.0
HOST_LOOKUP_TIMEOUT_S = 5.0

# --- Workitems -------------------------------------------------------------------------------------------------
# How often a change begins anew because another was quicker; two performers at one workitem come to two.
WORKITEM_CHANGE_ATTEMPTS = 10
# Events of one subscriber that are sent over one association before others have their turn.
WORKITEM_EVENTS_PER_DELIVERY = 100
# How long the delivery to one subscriber is one worker's: longer than a response may take.
WORKITEM_DELIVERY_LEASE_S = 300.0
# Deliveries a worker has under way; more wait their turn.
MAX_WORKITEM_DELIVERIES = 8
# How long to wait after a failed delivery: at first, and at most; doubled each time. dcm4che: as configured.
WORKITEM_RETRY_DELAY_S = 5.0
MAX_WORKITEM_RETRY_DELAY_S = 1800.0
# An event nobody took for so long is given up: a subscriber that comes back asks how things stand. dcm4che: none.
WORKITEM_EVENT_LIFETIME_S = 7 * 86_400.0
# How often a worker looks for events whose time has come; new ones it hears of at once.
WORKITEM_EVENT_INTERVAL_S = 5.0
# How long nothing of a study has to come before others are told that it is there; modalities pause between series.
AVAILABILITY_QUIET_S = 30.0
# Notices of procedure steps that wait for one remote and are looked at for earlier ones of the same step.
MAX_STEP_NOTICES_COMPARED = 500
# How long a notice waits for the one before it to be told, before it looks again.
STEP_NOTICE_TURN_S = 1.0

# --- Storage commitment (PS3.4 Annex J) ------------------------------------------------------------------------
# Instances of one transaction: a 10,000-slice study in one request; dcm4chee takes any number.
MAX_COMMITMENT_INSTANCES = 50_000
# How long the answer on the association of the request may take before the queue looks after it.
COMMITMENT_GRACE_S = 5.0
# How long one worker may look at the bytes of one transaction: 50,000 instances of half a megabyte at 100 MB/s.
COMMITMENT_CLAIM_S = 300.0
# As requestor: how long the association of a request is kept for the answer, before it is expected on a new one.
COMMITMENT_ANSWER_WAIT_S = 10.0
