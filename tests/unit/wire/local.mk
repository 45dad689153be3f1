check_PROGRAMS += %D%/test_frame
%C%_test_frame_LDADD = $(WIRE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += %D%/test_messages
%C%_test_messages_LDADD = $(WIRE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += %D%/test_journal
%C%_test_journal_LDADD = $(WIRE_LIBS) $(CMOCKA_LIBS)

noinst_HEADERS += tests/lib/fill.h %D%/golden.h
EXTRA_DIST += %D%/golden.txt

check_PROGRAMS += %D%/test_doc
%C%_test_doc_LDADD = $(WIRE_LIBS) $(CMOCKA_LIBS)
