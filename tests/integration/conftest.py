"""Fixtures: one S3 server a run, a bucket and a proxy a test, clusters that
leave nothing behind."""

import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "lib"))

import acached  # noqa: E402
import data  # noqa: E402
import rgw as ceph  # noqa: E402
import s3proxy  # noqa: E402

for name in [k for k in os.environ if k.startswith("AWS_")]:
    del os.environ[name]


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: not in tests/run --quick")
    config.addinivalue_line("markers", "long: only in tests/run --long")


# Not in tests/run --quick, which has four minutes: what takes longest, and what
# has a like that is quicker.
SLOW = ("test_what_was_loaded_is_seen_at_once",
        "test_backing_files_that_are_not_what_the_index_says_are_named",
        "test_it_is_right_while_files_come_and_go",
        "test_a_journal_that_cannot_be_written_stops_the_master_only",
        "test_a_full_disk_below_the_logs_stops_no_role",
        "test_a_dump_shows_what_is_only_on_disk_too",
        "test_what_is_wanted_comes_up_through_three_tiers",
        "test_killed_while_files_move_nothing_is_fetched_again",
        "test_a_scrub_finds_and_names_what_is_damaged",
        "test_what_rots_while_stopped_is_not_served",
        "test_hundreds_of_gets_are_in_flight_on_one_loop",
        "test_a_child_may_be_killed_often",
        "test_every_role_is_killed_many_times",
        "test_the_child_dies_under_open_files_mappings_and_listings",
        "test_three_thousand_keys_come_once_each_whatever_the_page",
        "test_a_master_lists_a_hundred_thousand_keys_in_little_memory",
        "test_a_hundred_thousand_keys_take_the_memory_of_a_page",
        "test_what_could_not_be_loaded_is_counted",
        "test_a_submitted_load_goes_on_by_itself",
        "test_keys_that_expire_are_renewed_in_use",
        "test_a_million_objects_are_listed_while_others_are_served",
        "test_a_mount_does_not_wait_for_the_storage_of_another",
        "test_a_restarted_server_is_waited_for",
        "test_ls_has_the_columns_of_the_old_system",
        "test_the_options_of_a_mount_change_while_it_is_read",
        "test_progress_is_printed_as_the_old_system_did",
        "test_top_tells_where_reads_come_from_and_what_is_busy",
        "test_metrics_are_those_of_each_process", "test_ls_sorts",
        "test_du_has_the_columns_of_the_old_system",
        "test_each_command_of_the_table_has_help_json_and_statuses",
        "test_a_worker_that_hangs_is_told_and_not_waited_for",
        "test_scrub_waits_no_longer_for_a_worker_that_hangs",
        "test_a_load_is_stopped", "test_a_list_of_paths_is_loaded",
        "test_what_is_damaged_on_disk_is_found_and_loaded_again",
        "test_the_doctor_names",
        "test_runbook",
        "test_explain_names_the_want_of_workers",
        "test_workers_share_what_is_cached",
        "test_sixty_four_readers_in_four_mountpoints",
        "test_a_third_worker_takes_its_share_from_its_peers",
        "test_a_worker_that_is_away_costs_one_hop",
        "test_a_load_survives_a_crash",
        "test_500_held_reads_leave_the_rest_alive",
        "test_no_train_leaves_a_mountpoint_and_stop_ends_it",
        "test_three_times_the_capacity_streams_through",
        "test_hits_over_a_cache_of_60_percent",
        "test_every_third_get_fails",
        "test_a_good_cluster_has_nothing_wrong",
        "test_a_refresh_is_seen_after_the_ttl",
        "test_an_unknown_name_is_asked_for_once_a_negative_ttl",
        "test_the_s3_server_is_killed_in_mid_epoch",
        "test_a_git_repository",
        "test_large_files_are_read_in_large_pieces",
        "test_a_file_just_written_can_be_loaded",
        "test_extended_attributes_if_asked_for",
        "test_no_extended_attributes_if_not",
        "test_programs_that_walk_trees",
        "test_faults_are_healed_by_retries",
        "test_stat_begins_as_the_old_system_printed_it",
        "test_df_shows_the_room_of_the_workers",
        "test_a_monitor_finds_metrics_and_health",
        "test_up_calls_a_file_costs",
        "test_stop_ends_one_that_runs",
        "test_listings_fail_too",
        "test_everything_is_cached_afterwards")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.originalname in SLOW:
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("long") and \
                not item.get_closest_marker("timeout"):
            raise pytest.UsageError(item.name + ": tests/run would end it "
                                    "after 300 s; it wants a timeout")


def pytest_addoption(parser):
    parser.addoption("--keep", action="store_true",
                     help="keep the directories of failed tests")


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, "report_" + report.when, report)


@pytest.fixture(scope="session")
def rgw():
    """A real S3 server; skipped by name where Ceph is not installed."""
    missing = ceph.missing_programs()
    if missing:
        pytest.skip("no S3 server: %s missing (contrib/install-deps --test)" %
                    ", ".join(missing))
    top = tempfile.mkdtemp(prefix="acached-rgw-")
    server = ceph.Rgw(os.path.join(top, "ceph"))
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(top, ignore_errors=True)


class Bucket:
    """A bucket with a counting proxy in front of it."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.uri = "s3://" + name
        self.proxy = s3proxy.S3Proxy(server.endpoint)
        self.s3 = server.client()
        self.s3.create_bucket(Bucket=name)

    def put(self, key, body):
        return self.s3.put_object(Bucket=self.name, Key=key, Body=body)

    def upload(self, top, names, prefix=""):
        return data.upload_tree(self.s3, self.name, top, names, prefix)


@pytest.fixture
def bucket(rgw, request):
    if "rgw" not in rgw.daemons:
        rgw.start_gateway()
    made = Bucket(rgw, "t%x" % (abs(hash(request.node.nodeid)) % (1 << 40)))
    try:
        yield made
    finally:
        made.proxy.close()


@pytest.fixture
def workdir(request):
    """A directory with a short path; kept after a failure if asked for."""
    path = tempfile.mkdtemp(prefix="ac-")
    yield path
    for where, _, _ in acached.mounts_below(path):
        acached.clear_mounts(where)
    report = getattr(request.node, "report_call", None)
    if request.config.getoption("--keep") and report and report.failed:
        print("kept:", path)
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def program():
    found = acached.binary()
    if not found:
        pytest.fail("acached is not built: make, or set ACACHED")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse on this machine")
    return found


@pytest.fixture
def clusters(workdir, program):
    """clusters("name") makes a Cluster; all are ended after the test."""
    made = []

    def make(name="c"):
        c = acached.Cluster(os.path.join(workdir, name), program)
        made.append(c)
        return c

    yield make
    for c in made:
        c.destroy()


# Scenarios that run in both forms; the others in one command.
BOTH_WAYS = ("test_a_directory_is_read",
             "test_a_bucket_is_read",
             "test_nested_mounts",
             "test_small_files_are_fetched_once_by_many_readers",
             "test_three_times_the_capacity_streams_through",
             "test_load_free_location_and_explain",
             "test_everything_is_cached_afterwards",
             "test_the_s3_server_is_killed_in_mid_epoch",
             "test_everything_is_killed_and_the_cache_is_warm_afterwards",
             "test_a_clean_restart_keeps_the_cache_too",
             "test_an_object_replaced_under_an_open_file",
             "test_new_changed_and_removed_objects_are_seen",
             "test_what_is_cached_is_served_when_s3_is_away_at_a_restart")


def pytest_generate_tests(metafunc):
    if metafunc.function.__name__ in BOTH_WAYS:
        metafunc.parametrize("form", ["one command", "separate processes"])


@pytest.fixture
def form():
    return "one command"


@pytest.fixture
def cluster(clusters, form):
    made = clusters()
    made.separate = form == "separate processes"
    return made


@pytest.fixture
def tree(workdir):
    """(directory, names) of 60 files."""
    top = os.path.join(workdir, "source")
    return top, data.make_tree(top)


class Served:
    """A running cluster with the tree mounted at /s3 through the proxy."""

    def __init__(self, cluster, bucket, tree):
        self.cluster = cluster
        self.bucket = bucket
        self.proxy = bucket.proxy
        self.top, self.names = tree

    def start(self, *more, **kw):
        self.bucket.upload(self.top, self.names)
        self.cluster.start(*more, **kw)
        self.cluster.mount_s3("/s3", self.bucket.name, self.proxy.endpoint)
        return self

    @property
    def data(self):
        return self.cluster.at("s3")

    def read_all(self, *more, **kw):
        return acached.read_all(self.data, self.top, *more, **kw)

    def reader(self, *more):
        return acached.Reader(self.data, self.top, *more)


@pytest.fixture
def serve(cluster, bucket, tree):
    """serve(argument...) starts a cluster over S3 with the tree in it."""
    served = Served(cluster, bucket, tree)
    return served.start


@pytest.fixture
def served(serve):
    return serve()
