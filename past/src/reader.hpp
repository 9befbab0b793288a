// get: the nearest holder first, a second one before the first is late, and never wrong bytes.
#pragma once

#include "gather.hpp"
#include "holders.hpp"

namespace past {

class Reader {
  public:
    Reader(Context& context, Holders& holders) : context_{context}, holders_{holders} {}

    base::Task<base::Result<base::SharedBytes>> get(base::Guid place, base::Guid id, base::TimePoint deadline);

  private:
    using Answer = base::Result<base::SharedBytes>;
    base::Task<Answer> fetch(base::Address holder, base::Guid place, base::Guid id, base::TimePoint deadline);
    base::Task<base::Result<base::Message>> fetch_at(base::Address holder, base::Guid place, base::Guid id,
                                                     base::TimePoint deadline);
    base::Task<Answer> fetch_from_others(HolderSet set, base::Guid place, base::Guid id, bool corrupt_here,
                                         base::TimePoint deadline);

    Context& context_;
    Holders& holders_;
};

}  // namespace past
