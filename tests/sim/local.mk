# The simulation; tests/sim/test_cluster --seed N replays a seed.
sim_sources =
sim_sources += %D%/actor.c
sim_sources += %D%/cluster.c
sim_sources += %D%/faults.c
sim_sources += %D%/final.c
sim_sources += %D%/model.c
sim_sources += %D%/random.c
sim_sources += %D%/seeds.c %D%/seeds.h
sim_sources += %D%/sim.h
sim_sources += %D%/worker.c
SIM_LIBS = libtest.a $(WORKER_LIBS) libmaster.a $(MASTER_LIBS) $(CLIENT_LIBS)
SIM_WRAP = -Wl,--wrap=secret_random

check_PROGRAMS += %D%/test_cluster
%C%_test_cluster_SOURCES = %D%/test_cluster.c $(sim_sources)
%C%_test_cluster_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
%C%_test_cluster_LDFLAGS = $(AM_LDFLAGS) $(SIM_WRAP)
%C%_test_cluster_LDADD = $(SIM_LIBS)

check_PROGRAMS += %D%/test_planted
%C%_test_planted_SOURCES = %D%/test_planted.c $(sim_sources)
%C%_test_planted_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
%C%_test_planted_LDFLAGS = $(AM_LDFLAGS) $(SIM_WRAP) -Wl,--wrap=ufs_version_equal \
	-Wl,--wrap=flight_find -Wl,--wrap=dedup_find
%C%_test_planted_LDADD = $(SIM_LIBS)
