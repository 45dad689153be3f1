dist_man1_MANS = %D%/man/acached.1
dist_man1_MANS += %D%/man/acached-admin.1
dist_man1_MANS += %D%/man/acached-fs.1
dist_man5_MANS = %D%/man/acached.conf.5
dist_doc_DATA = README.md doc/HACKING.md examples/acached.conf
