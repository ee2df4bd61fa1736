// The stages of a request, each of which it passes once, in this order: each is a function from what the one before
// made.
//
//   enter   a place in the gate
//   parse   as received -> TextRequest                          the transport's function
//   select  TextRequest -> SelectedRequest                      Admission::Select
//   room    a look at the queue, before anything is spent on a request that will be refused; none for a short request
//           while nothing waits
//   admit   SelectedRequest -> AdmittedRequest                  Admission::Start
//   decode  AdmittedRequest -> WorkItem -> WorkResult           MakeWork, Scheduler
//   reply   AdmittedRequest and WorkResult -> results, events   ReplyMaker, StreamWriter
//   end     counted, and told to the sink
//
// A refused request goes from where it was refused to its end; a question about the server itself (query.h) from enter.
#pragma once

#include <functional>

namespace heed {

enum class Stage { kEnter, kParse, kSelect, kRoom, kAdmit, kDecode, kReply, kEnd };

// Told when a request comes to a stage; thread-safe and quick. For tests.
using StageHook = std::function<void(Stage)>;

}  // namespace heed
