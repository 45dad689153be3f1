STORE_FIXTURE = %D%/store_fixture.c %D%/store_fixture.h
STORE_WORKLOAD = $(STORE_FIXTURE) %D%/workload.c %D%/workload.h
check_PROGRAMS += %D%/test_check
check_PROGRAMS += %D%/test_errors
check_PROGRAMS += %D%/test_faults
check_PROGRAMS += %D%/test_index
check_PROGRAMS += %D%/test_kill
check_PROGRAMS += %D%/test_power
check_PROGRAMS += %D%/test_room
check_PROGRAMS += %D%/test_rot
check_PROGRAMS += %D%/test_lend
check_PROGRAMS += %D%/test_scrub
check_PROGRAMS += %D%/test_store
%C%_test_check_SOURCES = %D%/test_check.c $(STORE_FIXTURE)
%C%_test_check_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_errors_SOURCES = %D%/test_errors.c $(STORE_WORKLOAD)
%C%_test_errors_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_errors_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=openat,--wrap=mkdirat,--wrap=unlinkat,--wrap=renameat \
	-Wl,--wrap=write,--wrap=pwrite,--wrap=pread,--wrap=preadv2 \
	-Wl,--wrap=ftruncate,--wrap=fstat \
	-Wl,--wrap=fsync,--wrap=fdatasync,--wrap=syncfs
%C%_test_faults_SOURCES = %D%/test_faults.c $(STORE_FIXTURE)
%C%_test_faults_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
# The plain names and those of large files: which one is called is libc's
# affair.
%C%_test_faults_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=openat,--wrap=write,--wrap=pwrite,--wrap=pread \
	-Wl,--wrap=preadv2,--wrap=ftruncate
%C%_test_index_SOURCES = %D%/test_index.c $(STORE_FIXTURE)
%C%_test_index_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_kill_SOURCES = %D%/test_kill.c $(STORE_WORKLOAD)
%C%_test_kill_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_kill_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=open,--wrap=openat,--wrap=mkdirat,--wrap=unlinkat \
	-Wl,--wrap=renameat,--wrap=ftruncate,--wrap=close \
	-Wl,--wrap=write,--wrap=pwrite
%C%_test_power_SOURCES = %D%/test_power.c $(STORE_WORKLOAD)
%C%_test_power_SOURCES += %D%/powercut.c %D%/powercut.h
%C%_test_power_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_power_LDFLAGS = $(AM_LDFLAGS) $(POWERCUT_WRAPS)
POWERCUT_WRAPS = \
	-Wl,--wrap=open,--wrap=openat,--wrap=mkdir,--wrap=mkdirat \
	-Wl,--wrap=unlinkat,--wrap=renameat,--wrap=ftruncate,--wrap=close \
	-Wl,--wrap=write,--wrap=pwrite \
	-Wl,--wrap=fsync,--wrap=fdatasync,--wrap=syncfs
%C%_test_room_SOURCES = %D%/test_room.c $(STORE_FIXTURE)
%C%_test_room_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_rot_SOURCES = %D%/test_rot.c $(STORE_WORKLOAD)
%C%_test_rot_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_lend_SOURCES = %D%/test_lend.c $(STORE_FIXTURE)
%C%_test_lend_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_scrub_SOURCES = %D%/test_scrub.c $(STORE_FIXTURE)
%C%_test_scrub_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_store_SOURCES = %D%/test_store.c $(STORE_FIXTURE)
%C%_test_store_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_threads
%C%_test_threads_SOURCES = %D%/test_threads.c $(STORE_FIXTURE)
%C%_test_threads_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
TIERS_FIXTURE = $(STORE_FIXTURE) %D%/tiers_fixture.c %D%/tiers_fixture.h
check_PROGRAMS += %D%/test_tiers
%C%_test_tiers_SOURCES = %D%/test_tiers.c $(TIERS_FIXTURE)
%C%_test_tiers_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_tiers_kill
%C%_test_tiers_kill_SOURCES = %D%/test_tiers_kill.c $(TIERS_FIXTURE)
%C%_test_tiers_kill_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_tiers_kill_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=openat,--wrap=mkdirat,--wrap=unlinkat,--wrap=renameat \
	-Wl,--wrap=close,--wrap=write,--wrap=pwrite
check_PROGRAMS += %D%/test_tiers_threads
%C%_test_tiers_threads_SOURCES = %D%/test_tiers_threads.c $(TIERS_FIXTURE)
%C%_test_tiers_threads_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_fsck
%C%_test_fsck_SOURCES = %D%/test_fsck.c $(STORE_FIXTURE)
%C%_test_fsck_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += %D%/test_tiers_power
%C%_test_tiers_power_SOURCES = %D%/test_tiers_power.c $(TIERS_FIXTURE)
%C%_test_tiers_power_SOURCES += %D%/powercut.c %D%/powercut.h
%C%_test_tiers_power_SOURCES += %D%/workload.c %D%/workload.h
%C%_test_tiers_power_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_tiers_power_LDFLAGS = $(AM_LDFLAGS) $(POWERCUT_WRAPS)
check_PROGRAMS += %D%/test_tiers_faults
%C%_test_tiers_faults_SOURCES = %D%/test_tiers_faults.c $(TIERS_FIXTURE)
%C%_test_tiers_faults_LDADD = libtest.a $(STORE_LIBS) $(CMOCKA_LIBS)
%C%_test_tiers_faults_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=openat,--wrap=mkdirat,--wrap=unlinkat,--wrap=write \
	-Wl,--wrap=pwrite,--wrap=pread
