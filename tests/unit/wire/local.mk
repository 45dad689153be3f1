check_PROGRAMS += %D%/test_frame
%C%_test_frame_LDADD = $(WIRE_LIBS) $(CMOCKA_LIBS)
