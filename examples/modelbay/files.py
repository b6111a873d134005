import modelbay

reply = modelbay.complete("Does the chart show what the report says?", files=["report.pdf", "chart.png"])
print(reply.text)
