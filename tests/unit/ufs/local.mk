check_PROGRAMS += \
	%D%/test_beneath \
	%D%/test_http_client \
	%D%/test_limit \
	%D%/test_own_dirs \
	%D%/test_s3_adapt \
	%D%/test_s3_backoff \
	%D%/test_s3_config \
	%D%/test_s3_credentials \
	%D%/test_s3_issuer \
	%D%/test_s3_keys \
	%D%/test_s3_options \
	%D%/test_s3_profile \
	%D%/test_s3_sign \
	%D%/test_s3_verify \
	%D%/test_s3_xml \
	%D%/test_text \
	%D%/test_ufs_local \
	%D%/test_ufs_s3 \
	%D%/test_xml_mend
%C%_test_beneath_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_http_client_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_own_dirs_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_config_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_sign_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_xml_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_text_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_ufs_local_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_ufs_s3_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_adapt_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_backoff_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_verify_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_xml_mend_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_credentials_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_issuer_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_keys_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_options_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_s3_profile_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
%C%_test_limit_LDADD = libtest.a $(UFS_LIBS) $(CMOCKA_LIBS)
