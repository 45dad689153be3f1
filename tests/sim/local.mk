# The simulation; tests/sim/test_cluster --seed N replays a seed.
check_PROGRAMS += %D%/test_cluster
%C%_test_cluster_SOURCES =
%C%_test_cluster_SOURCES += %D%/actor.c
%C%_test_cluster_SOURCES += %D%/cluster.c
%C%_test_cluster_SOURCES += %D%/faults.c
%C%_test_cluster_SOURCES += %D%/final.c
%C%_test_cluster_SOURCES += %D%/model.c
%C%_test_cluster_SOURCES += %D%/random.c
%C%_test_cluster_SOURCES += %D%/test_cluster.c
%C%_test_cluster_SOURCES += %D%/sim.h
%C%_test_cluster_SOURCES += %D%/worker.c
%C%_test_cluster_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
%C%_test_cluster_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=secret_random
%C%_test_cluster_LDADD = libtest.a $(WORKER_LIBS) libmaster.a $(MASTER_LIBS) $(CLIENT_LIBS)
