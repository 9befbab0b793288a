#include "cli/families.hpp"

#include "cli/verbs.hpp"

namespace tools {

/// In the order in which `pelago --help` lists them.
void add_all_verbs(Verbs& verbs) {
    add_archive_verbs(verbs);
    add_volume_verbs(verbs);
    add_mount_verbs(verbs);
    add_key_verbs(verbs);
    add_raw_verbs(verbs);
    add_bench_verbs(verbs);
    add_network_verbs(verbs);
    add_node_verbs(verbs);
    add_dev_verbs(verbs);
    add_overlay_verbs(verbs);
    add_config_verbs(verbs);
    add_completion_verbs(verbs);
    add_man_pages_verb(verbs);
    add_version_verb(verbs);
}

}  // namespace tools
