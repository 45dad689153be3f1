# A fuzzer NAME: fuzz_NAME.c and the libraries it needs; replay_NAME is run by
# `make check`, fuzz_NAME is built with --enable-fuzzers.
FUZZ_REPLAY = %D%/replay.c %D%/fuzz.h %D%/seeds.h

check_PROGRAMS += %D%/replay_frame %D%/replay_messages %D%/replay_journal
check_PROGRAMS += %D%/replay_s3_xml

%C%_replay_frame_SOURCES = %D%/fuzz_frame.c %D%/seeds_journal.c $(FUZZ_REPLAY)
%C%_replay_frame_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZER='"frame"'
%C%_replay_frame_LDADD = $(WIRE_LIBS)

%C%_replay_messages_SOURCES = %D%/fuzz_messages.c %D%/seeds_messages.c \
	$(FUZZ_REPLAY)
%C%_replay_messages_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZER='"messages"'
%C%_replay_messages_LDADD = $(WIRE_LIBS)

%C%_replay_journal_SOURCES = %D%/fuzz_journal.c %D%/seeds_journal.c \
	$(FUZZ_REPLAY)
%C%_replay_journal_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZER='"journal"'
%C%_replay_journal_LDADD = $(WIRE_LIBS)

check_PROGRAMS += %D%/replay_connection
%C%_replay_connection_SOURCES = %D%/fuzz_connection.c %D%/seeds_connection.c \
	$(FUZZ_REPLAY)
%C%_replay_connection_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZER='"connection"'
%C%_replay_connection_LDADD = libtest.a $(RPC_LIBS)

%C%_replay_s3_xml_SOURCES = %D%/fuzz_s3_xml.c %D%/seeds_s3_xml.c \
	$(FUZZ_REPLAY)
%C%_replay_s3_xml_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZER='"s3_xml"'
%C%_replay_s3_xml_LDADD = $(UFS_LIBS)

if FUZZERS
noinst_PROGRAMS += %D%/fuzz_frame %D%/fuzz_messages %D%/fuzz_journal
noinst_PROGRAMS += %D%/fuzz_connection
noinst_PROGRAMS += %D%/fuzz_s3_xml
FUZZER_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer

%C%_fuzz_frame_LDADD = $(WIRE_LIBS)
%C%_fuzz_frame_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_messages_LDADD = $(WIRE_LIBS)
%C%_fuzz_messages_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_journal_LDADD = $(WIRE_LIBS)
%C%_fuzz_journal_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_connection_LDADD = libtest.a $(RPC_LIBS)
%C%_fuzz_connection_LDFLAGS = $(FUZZER_LINK)
%C%_fuzz_s3_xml_LDADD = $(UFS_LIBS)
%C%_fuzz_s3_xml_LDFLAGS = $(FUZZER_LINK)
endif

EXTRA_DIST += %D%/corpus/connection
EXTRA_DIST += %D%/corpus/frame
