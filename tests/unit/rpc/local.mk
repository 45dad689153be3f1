check_PROGRAMS += %D%/test_client
%C%_test_client_LDADD = libtest.a $(RPC_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_conn
%C%_test_conn_LDADD = libtest.a $(RPC_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_transport_real
%C%_test_transport_real_LDADD = libtest.a $(RPC_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_sim_net
%C%_test_sim_net_LDADD = libtest.a $(RPC_LIBS) $(CMOCKA_LIBS)
