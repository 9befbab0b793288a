// The verbs on the passphrases of the owner's key, which are there in two places.
#pragma once

namespace CLI {
class App;
}

namespace tools {

class Verbs;

/// passwd, add, list and remove.
void add_passphrase_verbs(Verbs& verbs, CLI::App& group);

}  // namespace tools
