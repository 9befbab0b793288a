// One registration function a verb family, defined in the family's folder.
#pragma once

namespace tools {

class Verbs;

void add_archive_verbs(Verbs& verbs);     // archive/
void add_volume_verbs(Verbs& verbs);      // volume/
void add_mount_verbs(Verbs& verbs);       // mount/
void add_key_verbs(Verbs& verbs);         // keys/
void add_raw_verbs(Verbs& verbs);         // raw/
void add_bench_verbs(Verbs& verbs);       // bench/
void add_network_verbs(Verbs& verbs);     // network/
void add_node_verbs(Verbs& verbs);        // node/
void add_overlay_verbs(Verbs& verbs);     // overlay/
void add_dev_verbs(Verbs& verbs);         // dev/
void add_config_verbs(Verbs& verbs);      // config/
void add_completion_verbs(Verbs& verbs);  // cli/completion.cpp
void add_man_pages_verb(Verbs& verbs);    // cli/man_pages.cpp
void add_version_verb(Verbs& verbs);      // cli/version.cpp

}  // namespace tools
