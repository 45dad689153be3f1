# What is installed besides the program.
EXTRA_DIST += %D%/install-deps
EXTRA_DIST += %D%/mount.fuse.acached.in
EXTRA_DIST += %D%/systemd/acached-master.service.in
EXTRA_DIST += %D%/systemd/acached-worker.service.in
EXTRA_DIST += %D%/systemd/acached-fuse@.service.in

# mount(8) looks for its helpers in /sbin alone.
mounthelper_SCRIPTS = %D%/mount.fuse.acached
systemdunit_DATA = %D%/systemd/acached-master.service
systemdunit_DATA += %D%/systemd/acached-worker.service
systemdunit_DATA += %D%/systemd/acached-fuse@.service
CLEANFILES += $(mounthelper_SCRIPTS) $(systemdunit_DATA)

tmpfilesdir = $(prefix)/lib/tmpfiles.d
dist_tmpfiles_DATA = %D%/systemd/acached-tmpfiles.conf
completiondir = $(datarootdir)/bash-completion/completions
dist_completion_DATA = %D%/bash-completion/acached

WITH_DIRS = $(MKDIR_P) $(@D) && sed 's|@bindir[@]|$(bindir)|g' $< >$@.new && mv $@.new $@
%D%/mount.fuse.acached: %D%/mount.fuse.acached.in Makefile
	$(AM_V_GEN)$(WITH_DIRS) && chmod +x $@
%D%/systemd/acached-master.service: %D%/systemd/acached-master.service.in Makefile
	$(AM_V_GEN)$(WITH_DIRS)
%D%/systemd/acached-worker.service: %D%/systemd/acached-worker.service.in Makefile
	$(AM_V_GEN)$(WITH_DIRS)
%D%/systemd/acached-fuse@.service: %D%/systemd/acached-fuse@.service.in Makefile
	$(AM_V_GEN)$(WITH_DIRS)
