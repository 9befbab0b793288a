#include "base/host/counters.hpp"

namespace base::host {

Counters& counters() {
    static Counters all;
    return all;
}

}  // namespace base::host
